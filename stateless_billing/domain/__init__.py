"""The rules that decide money: pure functions of plain values."""
