"""Bars in stages, as an SVG that reads in light and in dark."""
from xml.sax.saxutils import escape

LEFT, WIDTH, BAR, GAP, TOP, LABEL = 24, 760, 34, 74, 84, 12
COLOURS = ('#8a8f98', '#c98a1b', '#b5539c', '#3b82c4', '#2f9e77', '#c4574a')
LIGHT = '.paper { fill: #fff; } text { fill: #1c2128; } .soft { fill: #59636e; } .line { stroke: #59636e; }'
DARK = '.paper { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9aa4af; } .line { stroke: #9aa4af; }'
STYLE = f"""
  text {{ font: 13px system-ui, sans-serif; }} .title {{ font-size: 17px; font-weight: 600; }}
  .soft {{ font-size: 12px; }} .line {{ stroke-opacity: .35; }}
  {LIGHT}
  @media (prefers-color-scheme: dark) {{ {DARK} }}
"""


def tick_step(top):
    """A step of 1, 2 or 5 times a power of ten that makes four to ten ticks."""
    step = 10 ** (len(str(int(top))) - 1)
    for part in (5, 2, 1):
        if top / (step / part) <= 10:
            return step / part
    return step


def text(x, y, words, kind='', anchor='start'):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def axis(top, scale, bottom):
    step, at = tick_step(top), 0
    lines = []
    while at <= top:
        x = LEFT + at * scale
        lines.append(f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 18}" y2="{bottom}"/>')
        lines.append(text(x, bottom + 16, f'{at:g}', 'soft', 'middle'))
        at += step
    return lines


def legend(names, y):
    lines, x = [], LEFT
    for name, colour in names.items():
        lines.append(f'<rect x="{x:.1f}" y="{y - 10}" width="11" height="11" rx="2" fill="{colour}"/>')
        lines.append(text(x + 16, y, name, 'soft'))
        x += 34 + 6.6 * len(name)
    return lines


def bars(title, subtitle, rows):
    """rows: [(label, [(stage, from, to)...])...], one scale for all. Return: the text of the SVG."""
    top = max(to for _, parts in rows for _, _, to in parts)
    scale = WIDTH / top
    names = list(dict.fromkeys(stage for _, parts in rows for stage, _, _ in parts))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    bottom = TOP + len(rows) * GAP - 22
    lines = [text(LEFT, 28, title, 'title'), text(LEFT, 47, subtitle, 'soft'), *axis(top, scale, bottom)]
    for i, (label, parts) in enumerate(rows):
        y = TOP + i * GAP
        lines.append(text(LEFT + 4, y - 4, label))
        for stage, begin, end in parts:
            lines.append(f'<rect x="{LEFT + begin * scale:.1f}" y="{y + 4}" width="{max((end - begin) * scale, .5):.1f}" '
                         f'height="{BAR}" fill="{colours[stage]}"><title>{escape(stage)}: {end:.2f}</title></rect>')
            if (end - begin) * scale > 44:
                lines.append(f'<text x="{LEFT + (begin + end) / 2 * scale:.1f}" y="{y + BAR / 2 + LABEL / 2 + 2:.1f}" '
                             f'text-anchor="middle" style="fill:#fff">{end - begin:.1f}</text>')
    lines += legend({f'to {n}': c for n, c in colours.items()}, bottom + 44)
    height = bottom + 62
    body = '\n'.join('  ' + line for line in lines)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT * 2 + WIDTH} {height}" '
            f'width="{LEFT * 2 + WIDTH}" height="{height}">\n<style>{STYLE}</style>\n'
            f'  <rect class="paper" width="100%" height="100%" rx="8"/>\n{body}\n</svg>\n')
