"""From images to files: data sets, recipes, runs, photos, and the commands."""
