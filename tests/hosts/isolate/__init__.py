"""A Python Worker, and what stands in for workerd around it. SDK and Pyodide are the real ones."""
