"""API keys: for programs that cannot do OAuth."""
