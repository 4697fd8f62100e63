"""The trained detector once more, in the form that ONNX Runtime computes fastest: same weights, same answers.

On a CPU, ONNX Runtime keeps the channels of a convolution in blocks of 8 (avx2) or 16 (avx512). Whatever it cannot
compute in blocks makes it write the tensor back into plain order and read it again. Such things are a number of
channels that no block divides, channels that are shuffled or cut, and most of what decodes boxes. They cost a quarter
of the time of the network as it was trained, and are avoided here:

* `convolutions`: channels are picked, ordered and padded in the weights.
* `shuffle`, `backbone`: ESNet's shuffles are found out beforehand; a block is given the channels that it works on.
* `neck`: a 1x1 convolution of an enlarged tensor is the enlarged 1x1 convolution, at a quarter of the price.
* `tower`: a 1x1 convolution of a concatenation is a sum of convolutions.
* `boxes`: decoding in planes, each operation once for all boxes.

`Blocked` is checked against the network it was made of, in a test to 1e-4 and at every export.
"""

from training.detector.blocked.network import Blocked as Blocked
