"""What a model says of films, for a hospital's systems: DICOM and FHIR."""
