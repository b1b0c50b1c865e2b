/* SPDX-License-Identifier: BSD-3-Clause */
/* exec_guard.c: see exec_guard.h. */
#include "common/exec_guard.h"

#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What they permit is to wake a machine that is suspended, and to keep one from being. */
static const int harmless[] = { CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND };

struct capabilities {
    uint64_t effective, permitted, inheritable;
};

static bool get(struct capabilities *ret)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (syscall(SYS_capget, &head, set) < 0)
        return false;
    *ret = (struct capabilities){
        .effective = (uint64_t)set[1].effective << 32 | set[0].effective,
        .permitted = (uint64_t)set[1].permitted << 32 | set[0].permitted,
        .inheritable = (uint64_t)set[1].inheritable << 32 | set[0].inheritable,
    };
    return true;
}

/* Makes it the only one, not effective; EXEC_GUARD_NONE: none at all. A filter of system calls may not let us; what counts
 * is what is there afterwards. */
static void set_only(int capability)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (capability >= 0)
        set[CAP_TO_INDEX(capability)].permitted = set[CAP_TO_INDEX(capability)].inheritable = CAP_TO_MASK(capability);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &head, set);
}

static bool has_only(uint64_t expected)
{
    struct capabilities now;
    return get(&now) && !((now.effective | now.permitted | now.inheritable) & ~expected);
}

int exec_guard_begin(void)
{
    struct capabilities now;
    if (!get(&now))
        return EXEC_GUARD_NONE;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (now.permitted >> harmless[i] & 1)
            return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? harmless[i] : EXEC_GUARD_NONE;
    return EXEC_GUARD_NONE;
}

bool exec_guard_keep(int *guard)
{
    set_only(*guard);
    if (*guard >= 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, *guard, 0, 0) < 0) {
        *guard = EXEC_GUARD_NONE;
        set_only(*guard);
    }
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    return has_only(*guard >= 0 ? UINT64_C(1) << *guard : 0);
}

bool exec_guard_end(void)
{
    set_only(EXEC_GUARD_NONE);
    return has_only(0);
}
