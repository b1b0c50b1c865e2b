/* SPDX-License-Identifier: BSD-3-Clause */
/* version.h: which Tine this is: one string, of the program and of the module that it loads into Pythons. */
#ifndef TINE_COMMON_VERSION_H
#define TINE_COMMON_VERSION_H

#define TINE_SOFTWARE "tine/"
/* "tine/1.2.3", and the number alone. */
extern const char tine_software[];
#define TINE_VERSION (tine_software + sizeof TINE_SOFTWARE - 1)

#endif
