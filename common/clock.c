/* clock.c: the HTTP date; see clock.h. */
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

const char *http_date(struct http_date *d)
{
    time_t now = time(NULL);
    if (now == d->second && d->text[0])
        return d->text;
    struct tm tm;
    gmtime_r(&now, &tm);
    int year = tm.tm_year + 1900;
    memcpy(d->text, "Day, 00 Mon 0000 00:00:00 GMT", sizeof(d->text));
    memcpy(d->text, day_names[tm.tm_wday], 3);
    put2(d->text + 5, tm.tm_mday);
    memcpy(d->text + 8, month_names[tm.tm_mon], 3);
    put2(d->text + 12, year / 100);
    put2(d->text + 14, year % 100);
    put2(d->text + 17, tm.tm_hour);
    put2(d->text + 20, tm.tm_min);
    put2(d->text + 23, tm.tm_sec);
    d->second = now;
    return d->text;
}
