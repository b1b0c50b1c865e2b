/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.c: formats the HTTP date (RFC 9110 5.6.7). */
#include "common/clock.h"

#include <stdio.h>
#include <string.h>

/* Not strftime(): its names follow the locale that an application may have set. */
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static void put2(char *to, int n)
{
    to[0] = (char)('0' + n / 10 % 10);
    to[1] = (char)('0' + n % 10);
}

void http_date_of(time_t at, char text[HTTP_DATE_LEN + 1])
{
    struct tm tm;
    gmtime_r(&at, &tm);
    int year = tm.tm_year + 1900;
    memcpy(text, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_LEN + 1);
    memcpy(text, day_names[tm.tm_wday], 3);
    put2(text + 5, tm.tm_mday);
    memcpy(text + 8, month_names[tm.tm_mon], 3);
    put2(text + 12, year / 100);
    put2(text + 14, year % 100);
    put2(text + 17, tm.tm_hour);
    put2(text + 20, tm.tm_min);
    put2(text + 23, tm.tm_sec);
}

const char *http_date(struct http_date *d)
{
    time_t now = time(NULL);
    if (now == d->second && d->text[0])
        return d->text;
    http_date_of(now, d->text);
    d->second = now;
    return d->text;
}
