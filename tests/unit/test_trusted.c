/* SPDX-License-Identifier: BSD-3-Clause */
/* test_trusted.c: opening a file for root where others may put links. What needs another user's link needs root. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/trusted.h"
#include "tests/unit/unit.h"

#define WRITE (O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC)
#define SOMEBODY 12345

/* Opens it both ways; whether both lead to one file. */
static bool same(const char *path)
{
    struct stat a, b;
    int x = trusted_open(path, WRITE, 0600), y = open(path, O_RDONLY | O_CLOEXEC);
    bool is =
        x >= 0 && y >= 0 && fstat(x, &a) == 0 && fstat(y, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    fd_close(&x);
    fd_close(&y);
    return is;
}

static bool fails(const char *path, int why)
{
    errno = 0;
    int fd = trusted_open(path, WRITE, 0600), got = errno;
    bool failed = fd < 0 && got == why;
    if (!failed)
        printf("%s: %d, %s\n", path, fd, strerror(got));
    fd_close(&fd);
    return failed;
}

static void link_to(const char *target, const char *name, uid_t owner)
{
    if (symlink(target, name) < 0 || lchown(name, owner, (gid_t)-1) < 0)
        abort();
}

static void test_ways(const char *folder)
{
    char path[300];
    snprintf(path, sizeof path, "%s/new", folder);
    CHECK(same(path) && same("new") && same("./d/../new") && same(".//d/.././new"));
    link_to("new", "link", geteuid());
    link_to("gone/../made", "dangling", geteuid());
    link_to(folder, "d/up", geteuid());
    link_to("../link", "d/link", geteuid());
    link_to("made", "makes", geteuid());
    CHECK(same("link") && same("d/link") && same("d/up/d/up/link"));
    CHECK(fails("dangling", ENOENT));
    CHECK(same("makes") && access("made", F_OK) == 0);
    CHECK(fails("none/x", ENOENT) && fails("new/x", ENOTDIR));
    CHECK(fails("d", EISDIR) && fails("d/", EISDIR) && fails("/", EISDIR));
    link_to("two", "one", geteuid());
    link_to("one", "two", geteuid());
    CHECK(fails("one", ELOOP) && fails("two/x", ELOOP));
    static char most[5000];
    memset(most, 'x', sizeof most - 1);
    CHECK(fails(most, ENAMETOOLONG) && fails(most + sizeof most - 300, ENAMETOOLONG));
}

/* As /dev/stderr is one: a link that only the kernel can follow. */
static void test_proc(void)
{
    int fds[2];
    char path[40];
    if (pipe(fds) < 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
    link_to(path, "to-pipe", geteuid());
    int fd = trusted_open("to-pipe", O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && read(fds[0], path, 1) == 1);
    fd_close(&fd);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
}

static void test_of_somebody(void)
{
    link_to("new", "theirs", SOMEBODY);
    link_to("d", "their-d", SOMEBODY);
    link_to("their-d", "ours", 0);
    link_to("nothing", "their-new", SOMEBODY);
    CHECK(fails("theirs", EACCES) && fails("their-d/x", EACCES) && fails("ours/x", EACCES) &&
          fails("d/up/theirs", EACCES));
    CHECK(fails("their-new", EACCES) && access("nothing", F_OK) < 0);
    link_to("/proc/self/fd/2", "their-proc", SOMEBODY);
    CHECK(fails("their-proc", EACCES));
}

int main(void)
{
    char folder[] = "/tmp/tine-test-XXXXXX", command[64];
    if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("d", 0700) < 0)
        abort();
    test_ways(folder);
    test_proc();
    if (geteuid() == 0)
        test_of_somebody();
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(chdir("/") == 0 && system(command) == 0);
    return unit_done();
}
