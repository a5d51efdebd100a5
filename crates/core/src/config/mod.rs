//! The directives and what they set. Knows no server: setters work on words, so that all of it is tested alone.
