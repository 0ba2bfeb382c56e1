"""Options of a request to the `stylize` model, each declared once, in `StylizeOptions`.

All users of the options go through `STYLIZE_OPTIONS`: the contract, the Triton adapters, both
clients, the command line, the gateway's forms and the reference. This package imports only the
standard library.
"""

from photoreal.options.arguments import RegionArguments, StylizeArguments
from photoreal.options.checks import MAX_STYLES, check_style_count, check_weights
from photoreal.options.declared import Option, Where
from photoreal.options.stylize import (
    DEFAULT_ALPHA,
    DEFAULT_BLEND,
    DEFAULT_METHOD,
    DEFAULT_QUALITY,
    DEFAULT_SIZE,
    DEFAULT_STEADY,
    DEFAULT_TRANSFER_AT,
    DEFAULT_WCT2_STRENGTH,
    FORMATS,
    MATCH_RULES,
    MAX_BLEND,
    MAX_OUTPUT_SIZE,
    MAX_SEQUENCE_ID,
    MAX_STEADY,
    METHODS,
    PLACES,
    PUBLISHED_SIZE,
    STYLIZE_OPTIONS,
    TRANSFER_OPTIONS,
    Format,
    MatchRule,
    Method,
    Place,
    StylizeOptions,
    check_options,
    offered,
    parse_places,
)

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_BLEND",
    "DEFAULT_METHOD",
    "DEFAULT_QUALITY",
    "DEFAULT_SIZE",
    "DEFAULT_STEADY",
    "DEFAULT_TRANSFER_AT",
    "DEFAULT_WCT2_STRENGTH",
    "FORMATS",
    "MATCH_RULES",
    "MAX_BLEND",
    "MAX_OUTPUT_SIZE",
    "MAX_SEQUENCE_ID",
    "MAX_STEADY",
    "MAX_STYLES",
    "METHODS",
    "PLACES",
    "PUBLISHED_SIZE",
    "STYLIZE_OPTIONS",
    "TRANSFER_OPTIONS",
    "Format",
    "MatchRule",
    "Method",
    "Option",
    "Place",
    "RegionArguments",
    "StylizeArguments",
    "StylizeOptions",
    "Where",
    "check_options",
    "check_style_count",
    "check_weights",
    "offered",
    "parse_places",
]
