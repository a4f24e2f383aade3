"""Export: a run's data set in the formats that trainers read."""
