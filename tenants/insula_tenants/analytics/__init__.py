"""What readings mean: comfort, occupancy, energy, forecasts, and how good the data is."""
