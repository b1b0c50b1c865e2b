/* SPDX-License-Identifier: BSD-3-Clause */
/* version.c: see version.h. */
#include "common/version.h"

#include <config.h>

const char tine_software[] = TINE_SOFTWARE PACKAGE_VERSION;
