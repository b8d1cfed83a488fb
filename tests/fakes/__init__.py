"""Stand-ins, fakes and values that several tests share."""
