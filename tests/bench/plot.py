# SPDX-License-Identifier: BSD-3-Clause
"""Draws the medians as an SVG: for each scenario one bar per server, CPU time per request relative to Tine. Bars of more
than MOST times Tine's are broken, so that the others can be told apart."""
from xml.sax.saxutils import escape

COLOURS = ["#8a8f98", "#1a7f5a", "#c2553b", "#d98f3b", "#4a6fa5", "#7b5ea7", "#a0567e", "#5b8c8c", "#99863d", "#555555",
           "#b9a26a", "#6c8f4e"]
BAR, GAP, LEFT, WIDTH = 11, 14, 130, 760
MOST = 6


def svg(scenarios, servers, cpu):
    """cpu[scenario][server] -> µs or None."""
    rows, y = [], 60
    for scenario in scenarios:
        base = cpu[scenario].get("tine")
        shown = [(s, cpu[scenario].get(s)) for s in servers if cpu[scenario].get(s)]
        if not base or not shown:
            continue
        most = min(max(value for _, value in shown) / base, MOST)
        rows.append('<text x="%d" y="%d" text-anchor="end" class="s">%s</text>' % (LEFT - 8, y + BAR, escape(scenario)))
        for server, value in shown:
            width = max(1, (WIDTH - LEFT - 190) * min(value / base, most) / most)
            rows.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'
                        % (LEFT, y, width, BAR - 2, COLOURS[servers.index(server) % len(COLOURS)]))
            if value / base > most:
                rows.append('<path d="M%.1f %d l4 -%d" stroke="white" stroke-width="3"/>' % (LEFT + width - 16, y + BAR - 1, BAR))
            rows.append('<text x="%.1f" y="%d" class="v">%s %.1f µs (%.2f)</text>'
                        % (LEFT + width + 4, y + BAR - 3, escape(server), value, value / base))
            y += BAR
        y += GAP
    head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">'
            "<style>.s{font-size:12px}.v{font-size:9px;fill:#444}</style>"
            '<rect width="100%%" height="100%%" fill="white"/>'
            '<text x="16" y="28" font-size="16">Server CPU per request, µs (ratio to Tine): shorter is better</text>'
            % (WIDTH, y + 10))
    return head + "".join(rows) + "</svg>\n"
