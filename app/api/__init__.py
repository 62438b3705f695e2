"""HTTP and JSON: who may enter, what a request says, what the answer looks like. One module per resource."""
