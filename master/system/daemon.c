/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon.c: two forks, a session, and a pipe to the process that was started. */
#include "master/system/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"

/* The process that was started: waits for one byte, the exit status. */
static _Noreturn void wait_for_start(int fd, int on_eof)
{
    unsigned char status;
    ssize_t got;
    do
        got = read(fd, &status, 1);
    while (got < 0 && errno == EINTR);
    _exit(got == 1 ? status : on_eof);
}

int daemon_start(struct daemon *daemon)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        log_critical("daemon: pipe: %s", strerror(errno));
        return -1;
    }
    pid_t pid = fork();
    if (pid < 0)
        goto failed;
    if (pid > 0) {
        fd_close(&fds[1]);
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        wait_for_start(fds[0], 2);
    }
    /* Its own session, and then a child that does not lead it: it can never get a terminal
     * again. */
    setsid();
    pid = fork();
    if (pid < 0)
        goto failed;
    if (pid > 0)
        _exit(0);
    fd_close(&fds[0]);
    daemon->on = true;
    daemon->parent_fd = fds[1];
    return 0;

failed:
    log_critical("daemon: fork: %s", strerror(errno));
    fd_close(&fds[0]);
    fd_close(&fds[1]);
    return -1;
}

void daemon_tell_parent(struct daemon *daemon, int status)
{
    if (!daemon->on || daemon->parent_fd < 0)
        return;
    unsigned char byte = (unsigned char)status;
    /* The reader may be gone already: then there is no one to inform. */
    if (fd_write_all(daemon->parent_fd, &byte, 1) < 0)
        log_debug("daemon: the first process is gone");
    fd_close(&daemon->parent_fd);
}

void daemon_detach_stdio(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        log_warning("/dev/null: %s", strerror(errno));
        return;
    }
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    if (log_fd() == STDERR_FILENO) {
        dup2(null_fd, STDERR_FILENO);
        log_reopen();
    } else {
        dup2(log_fd(), STDERR_FILENO);
    }
    if (null_fd > STDERR_FILENO)
        close(null_fd);
}
