"""What every engine does alike: pictures in, faces found, verdicts, pictures out."""
