/* SPDX-License-Identifier: BSD-3-Clause */
/* import.c: the importer is Python, as some files are, and runs in a child; what comes back is
 * loaded as any configuration is, and a line that is refused becomes a comment with the reason: the
 * result passes tine -t. */
#include "master/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "master/service.h"

/* A line that was refused may hide what is wrong with another. */
#define ROUNDS_MOST 8

struct text {
    char *p; /* NUL after it */
    size_t n;
};

/* --- the child --- */

static _Noreturn void be_child(const struct conf_cli *cli, int out)
{
    /* What the file prints is not the answer. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    int words = memfd_create("words", MFD_CLOEXEC);
    int rc = words < 0 ? -1 : fd_write_all(words, cli->import_words, cli->import_n);
    if (rc < 0)
        perror("tine: --import");
    else
        rc = worker_import(cli->import_server, words, out);
    fflush(NULL);
    _exit(rc == 0 ? 0 : SERVICE_EXIT_CONF);
}

static int read_all(int fd, struct text *ret)
{
    char *p = NULL;
    size_t n = 0;
    char piece[4096];
    ssize_t got;
    FILE *out = open_memstream(&p, &n);
    if (!out)
        return -1;
    while ((got = read(fd, piece, sizeof(piece))) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            fwrite(piece, 1, (size_t)got, out);
    bool failed = got < 0 || ferror(out);
    if (fclose(out) != 0 || failed) {
        free(p);
        return -1;
    }
    *ret = (struct text){ p, n };
    return 0;
}

/* 0, or -1: it is on standard error. */
static int run_child(const struct conf_cli *cli, struct text *ret)
{
    int fds[2], status = 0;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        perror("tine: pipe");
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        be_child(cli, fds[1]);
    fd_close(&fds[1]);
    int rc = pid < 0 ? -1 : read_all(fds[0], ret);
    fd_close(&fds[0]);
    if (rc < 0)
        perror("tine: --import");
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0 && (status != 0 || !ret->n)) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != SERVICE_EXIT_CONF)
            fprintf(stderr, "tine: %s: the file ended the process that ran it\n", cli->import_words);
        free(ret->p);
        return -1;
    }
    return rc;
}

/* --- the judgement --- */

/* Loads the text. NULL: nothing is wrong with it; else lines of "PATH:LINE: KEY: WHY". */
static char *load(const struct text *text, char path[32])
{
    struct conf_loaded *loaded = NULL;
    char *errors = NULL;
    int fd = memfd_create("tine.ini", MFD_CLOEXEC);
    if (fd < 0 || fd_write_all(fd, text->p, text->n) < 0) {
        fd_close(&fd);
        return NULL;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    struct conf_cli cli = { .action = CONF_CLI_IMPORT, .file = path, .start_dir = path };
    if (conf_load(&cli, &loaded, &errors) == 0)
        conf_loaded_free(loaded);
    fd_close(&fd);
    return errors;
}

/* Why the line was refused, up to the end of that message; NULL: it was not. */
static const char *refusal(const char *errors, const char *path, unsigned line, int *ret_n)
{
    char place[64];
    int n = snprintf(place, sizeof(place), "%s:%u: ", path, line);
    for (const char *p = errors; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (strncmp(p, place, (size_t)n) != 0)
            continue;
        *ret_n = (int)strcspn(p + n, "\n");
        return p + n;
    }
    return NULL;
}

/* An address is better kept without its flags than lost. */
static void write_refused(FILE *out, const char *line, int n, const char *why, int n_why)
{
    const char *value = memchr(line, '=', (size_t)n);
    const char *flags = value ? memchr(value + 2, ' ', (size_t)(line + n - value - 2)) : NULL;
    fprintf(out, "# %.*s (%.*s)\n", n, line, n_why, why);
    if (strncmp(line, "bind =", 6) == 0 && flags)
        fprintf(out, "%.*s\n", (int)(flags - line), line);
}

/* The text with every refused line as a comment; its memory is taken. false: there was none, or no memory. */
static bool leave_out_refused(struct text *text)
{
    char path[32];
    char *errors = load(text, path), *p = NULL;
    size_t n = 0;
    bool found = false;
    FILE *out = errors ? open_memstream(&p, &n) : NULL;
    unsigned number = 0;
    for (const char *line = text->p; out && *line;) {
        int length = (int)strcspn(line, "\n"), n_why = 0;
        const char *why = refusal(errors, path, ++number, &n_why);
        if (why)
            write_refused(out, line, length, why, n_why);
        else
            fprintf(out, "%.*s\n", length, line);
        found |= why != NULL;
        line += length + (line[length] == '\n');
    }
    free(errors);
    if (!out || fclose(out) != 0)
        return false;
    free(text->p);
    *text = (struct text){ p, n };
    return found;
}

int import_settings(const struct conf_cli *cli)
{
    struct text text;
    if (run_child(cli, &text) < 0)
        return SERVICE_EXIT_CONF;
    for (int i = 0; i < ROUNDS_MOST && leave_out_refused(&text); i++)
        ;
    int status = fputs(text.p, stdout) < 0 || fflush(stdout) != 0 ? SERVICE_EXIT_SYSTEM : SERVICE_EXIT_OK;
    free(text.p);
    return status;
}
