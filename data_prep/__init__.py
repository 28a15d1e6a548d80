"""Raw archives of chest radiographs become a prepared dataset. Never imports Keras."""
