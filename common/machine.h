/* SPDX-License-Identifier: BSD-3-Clause */
/* machine.h: what this process may use of the machine: the kernel's affinity and the limits of control groups, of version 1
 * and 2, in containers and units. Reads files each time that it is asked; keeps nothing. */
#ifndef TINE_COMMON_MACHINE_H
#define TINE_COMMON_MACHINE_H

#include <stdint.h>

/* Processors, at least 1: those of its affinity, or as many as the processor time of its control groups is worth (rounded up)
 * if that is less. */
unsigned machine_cores(void);
/* Bytes: the memory of the machine, or the least limit of its control groups. 0: unknown. */
uint64_t machine_memory(void);

/* The limits of control groups alone, below a folder that stands for "/"; UINT64_MAX: none. Of processor time: thousandths of
 * a processor. */
uint64_t machine_cgroup_cpu(const char *root);
uint64_t machine_cgroup_memory(const char *root);

#endif
