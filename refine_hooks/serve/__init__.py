"""The live page: the report of one or many logs over HTTP, for reading only; rounds appear as they are measured.

guard       who may ask: method, host, origin, token; what every answer says of its safety
shelf       all logs of a folder, and the thread that looks at them
files       half maps, masks and pictures that a record names, and nothing else
events      who is told of news
app         addresses -> answers
server      the socket, and a stop that does not wait for open streams
"""
