"""Amounts as people read them: two, 26.7 M MACs, 5 ms, 20 MB."""

import math

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count_word(count: int) -> str:
    """Such as "two"; figures above ten."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def format_count(count: float) -> str:
    """Such as "850 k", "26.7 M", "100 M" or "1.55 G": three digits, rounded up, so that "within" stays true."""
    value, unit = count, ""
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    decimals = 0 if value >= 100 or not unit else 1 if value >= 10 else 2
    rounded = math.ceil(value * 10**decimals - 1e-9) / 10**decimals
    text = f"{rounded:.{decimals}f}"
    return f"{text} {unit}".rstrip()


def format_nearest(count: float) -> str:
    """Such as "26.8 M" or "1.55 G": three digits, rounded to the nearest, where nothing has to be "within"."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(count) >= 0.9995 * 10**power:
            value = count / 10**power
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {prefix}"
    return f"{count:g}"


def format_round(count: float) -> str:
    """As `format_count`, without zeros behind the point, for bounds: "100 M", "20 k"."""
    number, _, unit = format_count(count).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}".rstrip()


def format_bytes(count: float) -> str:
    """Such as "318 kB", "1.5 MB" or "12 B"."""
    text = format_round(count)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def format_ms(milliseconds: float) -> str:
    """Three digits, such as "0.84 ms", "12.5 ms" or "1,240 ms"."""
    return f"{milliseconds:,.0f} ms" if milliseconds >= 99.95 else f"{milliseconds:.3g} ms"


def format_duration(seconds: float) -> str:
    """Such as "2.4 s", "42 s", "3 min 05 s" or "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole > 9 else f"{float(f'{seconds:.2g}'):g} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_loss(loss: float) -> str:
    """Four digits, such as "2.303", "14.70" or, of a member that diverges, "1.235e+14"; no more than three decimals."""
    return f"{loss:.3f}" if abs(loss) < 9.9995 else f"{loss:#.4g}".rstrip(".")


def format_share(share: float) -> str:
    """Two decimals, such as "0.84"; nearer to 0 or 1 as many as tell it from them: "0.0031", "0.9996"."""
    apart = min(abs(share), abs(1 - share))
    if not 0 < apart < 0.01:
        return f"{share:.2f}"
    integer, _, decimals = f"{share:.{1 - math.floor(math.log10(apart))}f}".partition(".")
    return f"{integer}.{decimals.rstrip('0'):0<2}"
