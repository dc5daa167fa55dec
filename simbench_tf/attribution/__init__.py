"""Attribution methods behind one call."""
