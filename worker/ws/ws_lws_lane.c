/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_lane.c: the lane of one connection: when libwebsockets is called for it, when it has to close it, when it is
 * freed. */
#include <event2/event.h>
#include <stdlib.h>

#include "worker/ws/ws_lws_priv.h"

void wsl_wake(struct wsl_worker *w)
{
    w->dirty = true;
    if (!w->in_pump)
        event_active(&w->again, EV_TIMEOUT, 0);
}

void wsl_doom(struct wsl_lane *lane)
{
    if (lane->is_doomed || !lane->wsi || lane->state != WSL_OPEN)
        return;
    lane->is_doomed = true;
    TAILQ_INSERT_TAIL(&lane->worker->doomed, lane, entry);
    wsl_wake(lane->worker);
}

void wsl_lane_unref(struct wsl_lane *lane)
{
    if (lane->link || lane->wsi)
        return;
    if (lane->is_doomed)
        TAILQ_REMOVE(&lane->worker->doomed, lane, entry);
    free(lane);
}
