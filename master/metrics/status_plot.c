/* SPDX-License-Identifier: BSD-3-Clause */
/* status_plot.c: The scale is stretched to the page's width, so texts are HTML beside the drawing. */
#include "master/metrics/status_plot.h"

#include "master/metrics/history.h"

#define WIDTH 540.0
#define HEIGHT 120.0

/* 1, 2 or 5 times a power of ten that nothing passes. */
static double top_of(const struct history *history, const struct status_line *lines, unsigned n, double most)
{
    static const double steps[] = { 1, 2, 5 };
    for (unsigned i = 0; i < history->n; i++)
        for (unsigned k = 0; k < n; k++)
            if (lines[k].value(history_at(history, i)) > most)
                most = lines[k].value(history_at(history, i));
    double power = 0.001;
    for (;;) {
        for (unsigned i = 0; i < 3; i++)
            if (steps[i] * power >= most)
                return steps[i] * power;
        power *= 10;
    }
}

static void draw(FILE *out, const struct history *history, const struct status_line *line, double top)
{
    if (!history->n)
        return;
    double step = WIDTH / (HISTORY_SAMPLES - 1);
    fprintf(out, "<polyline class=\"%s\" points=\"", line->css);
    for (unsigned i = 0; i < history->n; i++)
        fprintf(out, "%s%.1f,%.1f", i ? " " : "", WIDTH - (history->n - 1 - i) * step,
                HEIGHT - line->value(history_at(history, i)) / top * HEIGHT);
    fputs("\"/>", out);
}

/* From the top to zero, beside the drawing. */
static void write_scale(FILE *out, double top, void (*show)(FILE *out, double value))
{
    fputs("<div class=\"scale\">", out);
    for (unsigned i = 0; i <= 2; i++) {
        fputs("<span>", out);
        if (i == 2)
            putc('0', out);
        else
            show(out, top * (2 - i) / 2);
        fputs("</span>", out);
    }
    fputs("</div>", out);
}

void status_plot_write(FILE *out, const struct history *history, const char *title, const struct status_line *lines,
                       unsigned n, double least, void (*show)(FILE *out, double value))
{
    double top = top_of(history, lines, n, least);
    fprintf(out, "<figure><figcaption><b>%s</b>", title);
    for (unsigned k = 0; k < n; k++)
        fprintf(out, "<span class=\"key %s\">%s</span>", lines[k].css, lines[k].name);
    fputs("</figcaption><div class=\"plot\">", out);
    write_scale(out, top, show);
    fprintf(out, "<svg viewBox=\"0 0 %g %g\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%s\">", WIDTH,
            HEIGHT, title);
    for (unsigned i = 0; i < 4; i++)
        fprintf(out, "<line class=\"grid\" x1=\"0\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>", WIDTH, HEIGHT * i / 4,
                HEIGHT * i / 4);
    for (unsigned i = 1; i <= 3; i++)
        fprintf(out, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"0\" y2=\"%g\"/>", WIDTH * i / 3, WIDTH * i / 3,
                HEIGHT);
    fprintf(out, "<path class=\"axis\" fill=\"none\" d=\"M0,0V%gH%g\"/>", HEIGHT, WIDTH);
    for (unsigned k = 0; k < n; k++)
        draw(out, history, &lines[k], top);
    fputs("</svg><div class=\"time\"><span>3 min "
          "ago</span><span>2</span><span>1</span><span>now</span></div></div></figure>\n",
          out);
}
