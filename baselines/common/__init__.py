"""What the affinity U-Net and other baselines share: data, crops, augmentation, blocks, checkpoints, provenance."""
