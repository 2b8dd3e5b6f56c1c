"""The analytics UI: Streamlit over the API, with no database credential."""
