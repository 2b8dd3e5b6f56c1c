"""The platform's API as the pages need it: the client of one person, and the questions of each feature."""
