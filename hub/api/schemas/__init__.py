"""What the REST interface takes and gives (version 1). The console's types are generated from these.

Times are integer milliseconds since the Unix epoch by the hub's clock. Every string is bounded; unknown
fields in a request are refused. One module a noun.
"""
