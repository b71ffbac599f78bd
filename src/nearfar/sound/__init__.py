"""Arrays of sound: files to arrays and back, spectra, Kaldi's log-mel, how near and far relate."""
