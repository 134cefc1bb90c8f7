"""The forecast: a few samples of the base model become a statement of what mid-training will be ahead by. Imports no torch."""

from midway.forecast.budgets import budget_of, budgets_of, width_of
from midway.forecast.counts import probe_of
from midway.forecast.record import forecast_record
from midway.forecast.words import lines
from midway.theory.forecast import Budget

__all__ = ["Budget", "budget_of", "budgets_of", "forecast_record", "lines", "probe_of", "width_of"]
