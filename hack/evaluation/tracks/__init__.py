"""Recall of tracks: is an object hidden in all the frames that show it?

The truth is made. Labelled objects are cut out of pictures (`crops`), sent along smooth paths (`paths`), pasted into
the frames of a real street video (`scene`) and written as a clip (`clips`). Any command that hides objects is then
given the clip, and its output's pixels say what it left in sight (`exposure`), counted by track (`figures`).
"""
