/* SPDX-License-Identifier: BSD-3-Clause */
/* openmetrics.h: the service's figures as text for a scraper. */
#ifndef TINE_MASTER_OPENMETRICS_H
#define TINE_MASTER_OPENMETRICS_H

#include <stdio.h>

struct snapshot;

enum openmetrics_format {
    OPENMETRICS_1_0,  /* application/openmetrics-text; version=1.0.0 */
    PROMETHEUS_0_0_4, /* text/plain; version=0.0.4 */
};

const char *openmetrics_type(enum openmetrics_format format);
/* Errors are left in `out`. */
void openmetrics_write(FILE *out, enum openmetrics_format format, const struct snapshot *snapshot);

#endif
