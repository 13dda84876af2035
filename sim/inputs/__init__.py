"""Reading what people give: one door for files, one reader of TOML, units, and values fit for messages."""
