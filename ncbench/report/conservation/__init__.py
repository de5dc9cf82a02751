"""Conservation cards: one JSON file for each model, and a page that ranks several."""
