"""Units: which words and symbols are one, and what a text such as `m/s^2` or `square centimeters` comes to.

Promises: pure string work; two spellings of one unit give the same canonical form, such as `m s^-2`. What is not in the table is no
known unit and gives an empty string. Nothing is converted: `500 cm` is not `5 m`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ALIASES = {
    "cm": "cm см centimeter centimeters centimetre centimetres",
    "mm": "mm мм millimeter millimeters millimetre millimetres",
    "m": "m м метр метра метров meter meters metre metres metro metros mètre mètres 米", "nm": "nm nanometer nanometers",
    "um": "um µm μm micrometer micrometers",
    "km": "km км kms kilometer kilometers kilometre kilometres kilometro kilometros 千米 公里", "in": "in inch inches",
    "ft": "ft foot feet", "yd": "yd yard yards", "mi": "mi mile miles",
    "s": "s сек секунд sec secs second seconds sekunde sekunden 秒", "ms": "ms millisecond milliseconds",
    "min": "min мин минут mins minute minutes minuten 分钟",
    "h": "h час часа часов hr hrs hour hours stunde stunden heures horas 小时", "day": "day days", "week": "week weeks",
    "month": "month months", "year": "year years yr yrs", "g": "g грамм gram grams gm gms", "mg": "mg milligram milligrams",
    "kg": "kg кг kgs kilogram kilograms kilo kilos", "lb": "lb lbs pound pounds", "oz": "oz ounce ounces",
    "ton": "ton tons tonne tonnes", "l": "l литр литра литров liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres", "gal": "gal gallon gallons", "cl": "cl", "dl": "dl",
    "cup": "cup cups", "tsp": "tsp teaspoon teaspoons", "tbsp": "tbsp tablespoon tablespoons", "pint": "pint pints pt",
    "quart": "quart quarts qt", "$": "dollar dollars usd buck bucks", "cent": "cent cents ¢", "euro": "euro euros €",
    "degree": "degree degrees deg degs °", "celsius": "celsius °c", "fahrenheit": "fahrenheit °f",
    "kelvin": "kelvin kelvins", "rad": "rad radian radians", "unit": "unit units", "%": "percent",
    "newton": "newton newtons", "kN": "kn", "joule": "joule joules", "kJ": "kj kilojoule kilojoules",
    "cal": "cal calorie calories", "kcal": "kcal kilocalorie kilocalories", "watt": "watt watts",
    "kW": "kw kilowatt kilowatts", "kWh": "kwh", "volt": "volt volts", "mV": "mv", "ampere": "amp amps ampere amperes",
    "mA": "ma", "ohm": "ohm ohms ω", "pascal": "pa pascal pascals", "kPa": "kpa", "atm": "atm", "hertz": "hz hertz",
    "kHz": "khz", "MHz": "mhz", "mol": "mol mole moles", "coulomb": "coulomb coulombs", "farad": "farad farads",
    "tesla": "tesla", "eV": "ev", "acre": "acre acres", "hectare": "ha hectare hectares", "rpm": "rpm", "bit": "bit bits",
    "byte": "byte bytes",
}  # fmt: skip
_WORDS = {alias: unit for unit, aliases in _ALIASES.items() for alias in aliases.split()}
_COMPOUND = {
    "mph": (("mi", 1), ("h", -1)),
    "kmh": (("km", 1), ("h", -1)),
    "kph": (("km", 1), ("h", -1)),
    "mps": (("m", 1), ("s", -1)),
}
LETTERS = {
    "m": "m", "s": "s", "g": "g", "l": "l", "L": "l", "h": "h", "N": "newton", "J": "joule", "W": "watt", "K": "kelvin", "C": "celsius",
    "F": "fahrenheit", "V": "volt", "A": "ampere", "Ω": "ohm", "T": "tesla", "t": "ton",
}  # fmt: skip
"""Units of one letter, which might be a symbol of algebra; here the case counts."""
_SYMBOL_CASE = {
    "mw": {"mW": "mW", "MW": "MW"},
    "pa": {"Pa": "pascal"},
    "ma": {"mA": "mA"},
    "mm": {"mm": "mm"},
    "ms": {"ms": "ms"},
}
_POWER_WORDS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_TOKEN = re.compile(r"[^\W\d_]+|[°¢€$%]|\^\s*\{?\s*-?\d\s*\}?|[/·*()]|\S")


@lru_cache(maxsize=8192)
def unit_of(words: str) -> str:
    """Return the canonical unit named by `words`, such as `cm^2` for `square centimeters`; empty if it is not known."""
    text = (
        re.sub(r"\\t(?:ext)?\s*\{|\\(?:mathrm|mathit|rm)\s*\{?|[{}](?![^{]*\d\s*\})", " ", words)
        if "\\" in words
        else words
    )
    text = re.sub(r"\\(?:cdot|times|,|;|!| )", " ", text).replace("^\\circ", "°").replace("\\circ", "°")
    text = re.sub(
        r"°\s*([CF])(?![a-zA-Z])|degrees?\s+(celsius|fahrenheit|C|F)(?![a-zA-Z])", r" \1\2 ", text, flags=re.IGNORECASE
    )
    text = text.replace("²", "^2").replace("³", "^3").replace(".", " ")
    powers: dict[str, int] = {}
    sign, pending, last = 1, 1, ""
    for token in _TOKEN.findall(text):
        lower = token.lower()
        if token in "/(" or lower in ("per", "pro", "par", "por"):
            sign = -1 if token != "(" else sign
            continue
        if token in ")·*":
            continue
        if token[0] == "^":
            digits = re.sub(r"[^\d-]", "", token)
            if not last or not digits.strip("-0"):
                return ""
            power = int(digits)
            powers[last] += (power - 1) * (1 if powers[last] > 0 else -1) if abs(powers[last]) == 1 else power
            continue
        if lower in _POWER_WORDS:
            if last and lower.endswith("d"):  # meters squared
                powers[last] *= _POWER_WORDS[lower]
            else:
                pending = _POWER_WORDS[lower]
            continue
        if lower in _COMPOUND:
            for unit, power in _COMPOUND[lower]:
                powers[unit] = powers.get(unit, 0) + sign * power
            last = _COMPOUND[lower][0][0]
            continue
        found = LETTERS.get(token) if len(token) == 1 and token.isalpha() else ""
        found = found or _SYMBOL_CASE.get(lower, {}).get(token) or _WORDS.get(lower, "")
        if not found or (len(token) == 1 and token.isalpha() and token.isascii() and token not in LETTERS):
            return ""
        powers[found] = powers.get(found, 0) + sign * pending
        last, pending = found, 1
    return " ".join(unit if power == 1 else f"{unit}^{power}" for unit, power in sorted(powers.items()) if power)
