/* SPDX-License-Identifier: BSD-3-Clause */
/* test_machine.c: limits of control groups as the kernel writes them (cgroups(7), its own documents cgroup-v2.rst and
 * sched-bwc.rst), in trees of files that stand for a machine, a unit, and containers with and without a namespace. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/machine.h"
#include "tests/unit/unit.h"

#define NONE UINT64_MAX

static char root[] = "/tmp/tine-machine-XXXXXX";

static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(whole, 0700);
    }
    FILE *out = fopen(whole, "w");
    if (!out || fputs(text, out) < 0 || fclose(out) != 0)
        exit(99);
}

static void clear(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", root);
    if (system(command) != 0) // NOLINT(cert-env33-c): our own folder
        exit(99);
}

static void test_version_2(void)
{
    clear();
    put("proc/self/cgroup", "0::/system.slice/shop.service\n");
    CHECK(machine_cgroup_cpu(root) == NONE && machine_cgroup_memory(root) == NONE);
    put("sys/fs/cgroup/system.slice/shop.service/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/system.slice/shop.service/memory.max", "max\n");
    CHECK(machine_cgroup_cpu(root) == NONE && machine_cgroup_memory(root) == NONE);
    put("sys/fs/cgroup/system.slice/shop.service/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/system.slice/shop.service/memory.max", "536870912\n");
    CHECK(machine_cgroup_cpu(root) == 1500 && machine_cgroup_memory(root) == 536870912);
    put("sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n"); /* a group is limited by those above it */
    put("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
    CHECK(machine_cgroup_cpu(root) == 500 && machine_cgroup_memory(root) == 536870912);
}

static void test_a_container_of_version_2(void)
{
    clear();
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("sys/fs/cgroup/memory.max", "268435456\n");
    CHECK(machine_cgroup_cpu(root) == 4000 && machine_cgroup_memory(root) == 268435456);
}

static void test_version_1(void)
{
    clear();
    put("proc/self/cgroup", "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/init.scope\n");
    put("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    CHECK(machine_cgroup_cpu(root) == NONE && machine_cgroup_memory(root) == NONE);
    put("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "134217728\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "25000\n");
    CHECK(machine_cgroup_cpu(root) == 250 && machine_cgroup_memory(root) == 134217728);
}

/* The path is that of the host, and the mount begins at the container's own group. */
static void test_a_container_of_version_1(void)
{
    clear();
    put("proc/self/cgroup", "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    CHECK(machine_cgroup_cpu(root) == 2000 && machine_cgroup_memory(root) == 67108864);
}

static void test_nonsense(void)
{
    static const char *const texts[] = { "", "\n", "-5 -5\n", "0 0\n", "1\n", "99999999999999999999999 1\n", "x\n" };
    clear();
    CHECK(machine_cgroup_cpu(root) == NONE);
    put("proc/self/cgroup", "nonsense\n0:\n0::relative\n0::/../..\n0::/\n");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put("sys/fs/cgroup/cpu.max", texts[i]);
        CHECK_MSG(machine_cgroup_cpu(root) == NONE, "%s", texts[i]);
    }
}

int main(void)
{
    if (!mkdtemp(root))
        return 99;
    test_version_2();
    test_a_container_of_version_2();
    test_version_1();
    test_a_container_of_version_1();
    test_nonsense();
    CHECK(machine_cores() >= 1 && machine_memory() > (1u << 20));
    clear();
    rmdir(root);
    return unit_done();
}
