/* SPDX-License-Identifier: BSD-3-Clause */
/* status_plot.h: the plots of the status page, as SVG drawn here: they are there without JavaScript. */
#ifndef TINE_MASTER_STATUS_PLOT_H
#define TINE_MASTER_STATUS_PLOT_H

#include <stdio.h>

struct history;
struct history_sample;

struct status_line {
    const char *name, *css; /* of the legend; class of the line */
    double (*value)(const struct history_sample *sample);
};

/* `show` writes a value of the plot in its unit; the scale ends at `least` or above. */
void status_plot_write(FILE *out, const struct history *history, const char *title, const struct status_line *lines,
                       unsigned n, double least, void (*show)(FILE *out, double value));

#endif
