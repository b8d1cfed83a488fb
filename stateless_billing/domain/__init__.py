"""The rules that decide about money, as pure functions of plain values."""
