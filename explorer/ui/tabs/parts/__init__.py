"""What single tabs show beside their charts; a part knows no tab and nothing of the others.

- `threshold_fields`: the threshold in all its units, a field for each (Weights)
- `layer_density`: the share of its weights that each layer keeps, with alarms (Weights)
- `recorded_histograms`: the histograms of a moment in the past (Weights)
- `unit_images`: each unit's weights as a picture, and how many units are dead (Masks)
- `digit_images`: the images that flipped and the sentences about them (Digits)
"""
