/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_notify.c: what a service manager puts into the environment for sd_notify(3): NOTIFY_SOCKET in the first line of the
 * input, WATCHDOG_USEC in the second, WATCHDOG_PID in the third. It is taken out, and what is understood must come back the
 * same when it is handed over to the next program. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "master/system/notify.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_corpora[] = { NULL };

static void set(const char *name, const char *value)
{
    if (value)
        MUST(!setenv(name, value, 1));
    else
        unsetenv(name);
}

static void must_be_taken_out(void)
{
    MUST(!getenv("NOTIFY_SOCKET") && !getenv("WATCHDOG_USEC") && !getenv("WATCHDOG_PID"));
}

static void try(const char *path)
{
    struct notify first, second;
    notify_open(&first);
    must_be_taken_out();
    MUST(!notify_hand_over(&first));
    const char *handed = getenv("NOTIFY_SOCKET");
    MUST(!!handed == (first.fd >= 0));
    if (handed)
        MUST(path && !strcmp(handed, path) && (*path == '/' || *path == '@') &&
             strlen(path) < sizeof first.addr.sun_path);
    notify_open(&second);
    must_be_taken_out();
    MUST(second.watchdog_us == first.watchdog_us && (second.fd >= 0) == (first.fd >= 0));
    MUST(second.fd < 0 || (second.addr_len == first.addr_len && !memcmp(&second.addr, &first.addr, first.addr_len)));
    notify_close(&first);
    notify_close(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };
    char *text = malloc(size + 1), *rest = text;
    MUST(!log_open("/dev/null", LOG_LEVEL_CRITICAL, false));
    memcpy(text, size ? (const char *)data : "", size);
    text[size] = '\0';
    for (int i = 0; i < 3; i++)
        set(names[i], rest ? strsep(&rest, "\n") : NULL);
    try(text);
    free(text);
    return 0;
}
