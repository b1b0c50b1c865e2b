/* SPDX-License-Identifier: BSD-3-Clause */
/* notify_main.h: lets systemd see that its main process has become its own child.
 *
 * When MAINPID names a process that systemd did not start, it remembers that as a stranger: it would
 * not notice its end, and would send SIGKILL right after SIGTERM. A new binary is the old one's
 * child when it is named. When the old one is gone it is systemd's, but naming the same process again
 * changes nothing: another must have been named between. That is a child of ours, the herald, which
 * does nothing but name us in turn; so it works wherever the main process may speak.
 */
#ifndef TINE_MASTER_NOTIFY_MAIN_H
#define TINE_MASTER_NOTIFY_MAIN_H

struct notify;

/* Has itself named. A descriptor to be closed a while later, when systemd has read it all: the herald
 * then ends; -1: there is no service manager, or there is no herald (logged). */
int notify_main_again(const struct notify *notify);

#endif
