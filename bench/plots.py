# SPDX-License-Identifier: ISC
"""Plots of a run's result, by gnuplot, as SVG beside it."""
import shutil
import subprocess

HEAD = """set terminal svg noenhanced size 760,{height} background "white" \\
    font "sans,13"
set output "{out}"
set title "{title}\\n{sub}"
set grid xtics lc "#dddddd"
set border 3 lc "#888888"
set tics nomirror
unset key
"""
BARS = """set style fill solid
set yrange [{n}:-1] noreverse
set xrange [{least}:{most}]
{scale}
set xlabel "{unit}"
set margins 22,12,4,5
plot $rows using 2:0:({least}):2:($0-0.36):($0+0.36):3:ytic(1) \\
    with boxxyerror lc rgb variable, \\
    $rows using 2:0:4 with labels left offset 0.6,0
"""
LINES = """set logscale xy
set xtics (1, 16, 64, 256)
set format y "%.0f"
set xlabel "connections"
set ylabel "added p50, µs"
set key outside right
plot {plots}
"""
OURS, THEIRS = 0xC44536, 0x8896A6


def draw(text):
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


def head(out, title, sub, height):
    return HEAD.format(out=out, title=title, sub=sub, height=height)


def bars(out, title, sub, unit, rows, log):
    """rows: [(name, value)]; the best comes first."""
    most = max(v for _, v in rows)
    text = head(out, title, sub, 120 + 30 * len(rows)) + "$rows << EOD\n"
    for name, v in rows:
        text += (f'"{name}" {v} {OURS if name == "hatcheck" else THEIRS} '
                 f'"{v:,.0f}"\n')
    draw(text + "EOD\n" + BARS.format(
        n=len(rows), unit=unit, least=10 if log else 0,
        most=most * (2.5 if log else 1.12),
        scale="set logscale x" if log else ""))


def lines(out, title, sub, rows):
    """rows: {name: [(x, y)]}"""
    text = head(out, title, sub, 420)
    for i, points in enumerate(rows.values()):
        text += f"$d{i} << EOD\n" + "".join(
            f"{x} {y}\n" for x, y in points) + "EOD\n"
    draw(text + LINES.format(plots=", ".join(
        f'$d{i} with linespoints lw {3 if name == "hatcheck" else 1.5} '
        f'pt 7 ps 0.5 title "{name}"'
        for i, name in enumerate(rows))))


def figure(rows, key, least_first=True):
    got = [(n, r[key]["median"]) for n, r in rows.items()
           if n != "direct" and r.get(key) and r[key]["median"]]
    return sorted(got, key=lambda x: x[1], reverse=not least_first)


def added(keep):
    out = {}
    for n, rows in keep.items():
        if "direct" not in rows:
            continue
        for name, r in rows.items():
            y = r["p50_us"]["median"] - rows["direct"]["p50_us"]["median"]
            if name != "direct" and y > 0:
                out.setdefault(name, []).append((int(n), y))
    return out


def plots(result, stem):
    """What was drawn; [] without gnuplot."""
    f, out = result["facts"], []
    if not shutil.which("gnuplot"):
        return out
    sub = (f"{f['date']}, commit {f['commit']}, {f['cores']} cores, medians "
           f"of {f['rounds']} interleaved rounds of {f['seconds_each']} s")

    def drawn(name):
        out.append(stem.with_name(f"{stem.name}-{name}.svg"))
        return out[-1]
    rows = result.get("keep", {}).get("64")
    if rows:
        bars(drawn("cpu"), "Processor time per request "
             "(1 KiB, keep-alive, 64 connections): less is better", sub,
             "µs, all processes of the way together; logarithmic",
             figure(rows, "cpu_us"), True)
    if result.get("keep"):
        lines(drawn("latency"), "What a way adds to a request", sub,
              added(result["keep"]))
    rows = result.get("bodies", {}).get("1 MiB down")
    if rows:
        bars(drawn("bodies"), "1 MiB bodies per processor second: "
             "more is better", sub, "MB",
             figure(rows, "mb_per_cpu_second", False), False)
    return out
