"""Links that go to an address by mail: whoever follows one reads the mail there."""
