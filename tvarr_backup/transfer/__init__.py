"""Files from the network into the backup folder and back, for API and pages: in blocks, never through memory."""
