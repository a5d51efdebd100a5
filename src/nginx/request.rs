//! From nginx's request to the view that crosses to Python.
