"""What pages are made of, a room for each page. The only package that imports streamlit."""
