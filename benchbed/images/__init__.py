"""Images: files of published data sets, their decoding, splits and augmentation."""
